"""One synthesis job, from a configuration to a row of figures.

Jobs, targets and their scripts, the tools they start, place and route, Liberty libraries, foreign
designs in the same flow, equivalence, and the rows that come out.
"""
