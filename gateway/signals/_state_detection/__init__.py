"""State detection (ISO 13374-2): whether a tag has left its usual ways. For all tags at once, one row per tick.

    structure.py   how far a tag wanders within so many ticks when all is well
    shift.py       a tag is on another level than before: alarm, until it is back or that level is the usual one
    changes.py     the moments at which a level changes
    expected.py    what tags should be, given how much a machine has to do
    rest.py        a tag that stays the same to the last digit
    bank.py        the simple charts of process control
    novelty.py     a tag does what it never did at this time of day, or goes a way that it never went
    tail.py        how seldom a size was as large
    ways.py        how far a way is from all earlier ones

A row has a value per tag, NaN where there is none; rows are ticks of the same length. What comes out depends on the
rows alone: nobody here knows the time but as a part of the day.
"""
