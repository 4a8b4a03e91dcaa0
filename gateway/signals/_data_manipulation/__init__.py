"""Data manipulation (ISO 13374-2): waveforms to features, many windows at once.

waveform.py   a waveform as a few numbers, and the spectrum of what modulates it
bearing.py    where a damaged bearing has lines in that, and how they are read off
"""
