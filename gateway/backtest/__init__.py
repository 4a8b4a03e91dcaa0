"""A configuration tried on the past: history through the very signals that run live, and what would have come of it.

    truth.py      what really was wrong, and when: a file of faults
    replay.py     readings out of history, second by second, through the signals
    findings.py   what the signals would have raised, from when to when         pure
    judge.py      findings beside the truth: lead, cause, missed, false         pure
    trial.py      all of this for one configuration
    figures.py    what came of it as text and JSON                              pure
    page.py       the same as a page with pictures                              pure

It knows history and the plan, and nothing of what runs: it may be used beside a gateway that runs on the same history.
"""
