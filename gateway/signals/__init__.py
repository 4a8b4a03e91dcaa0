"""Maintenance signals: one file per kind, pure numpy on batches; no clock, no randomness, no I/O but to read a model.

A module here offers Options, outputs and signal (see SignalModule in gateway/contracts) and is found by its name,
which is the `type` of a signal in the configuration. The blocks of ISO 13374-2 that exist so far:

    data manipulation   vibration.py   features of a waveform
                        derived.py     a tag by a formula of others
    state detection     drift.py       a feature leaves its usual level: alarm
                        shift.py       a tag of an asset is on another level than before: alarm and cause
                        expected.py    a tag is not what it should be, the way the machine is run, or it is stuck
                        changes.py     the moments at which the level of a tag changes: events
                        bank.py        every tag of a plant for itself, by simple charts: alarm, cause and chart
                        novelty.py     a tag does what it never did at this time of day: alarm and cause
                        monitor.py     the tags of an asset no longer belong together: alarm and cause
    health assessment   health.py      how well a machine is, 0 to 100, by its signals
    prognosis           life_trend.py  when a tag reaches a limit if it goes on as it does
                        life_fleet.py  how long a machine lasts, by others of its kind that ran until they failed
    advice              advice.py      one sentence for each finding, by faults and their symptoms

What computes for many tags at once is in `_state_detection/`, what a fleet teaches in `_prognosis/`; `gateway score`
runs both over public benchmarks.
"""
