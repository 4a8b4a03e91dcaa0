"""Prognosis (ISO 13374-2, ISO 13381-1): how long a machine will go on, told from others that ran until they failed.

regimes.py     ways in which a machine is run, and what its tags do in each
directions.py  what of the tags moves slowly, as wear does
course.py      what became of a machine so far, as features
fleet.py       features to remaining life, with an interval
trend.py       without a fleet: a line to a limit, with an interval
"""
