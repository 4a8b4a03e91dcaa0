"""Alarms by ISA-18.2 / IEC 62682: limits of tags become alarms, alarms have states, and people answer to them.

    readings ──> what holds, and for long enough ──> states of ISA-18.2 ──> register, on disk ──> events
                 watch.py                            states.py              register.py, file.py  events.py

`rule.py` is what an alarm is by the configuration, `performance.py` what alarms did to those who had to answer. Nothing
here knows other rooms: what comes are records of the journal, what goes are readings that are events.
"""
