"""Production: states and counters become the times, counts and KPIs of ISO 22400-2, and orders their progress.

    edges of role tags ──> tracks ──> spans of time, counts ──> elements ──> KPIs
                            track.py     timeline.py           elements.py   kpis.py

These modules are pure: no I/O, no clock, whole nanoseconds and rational numbers. What is stored is what was read, so
everything else follows from it for any range of time, whatever came late and however it was cut into batches.
"""
