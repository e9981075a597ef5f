"""One file for each package: how a program would use it, with the settings that it has by default.

Each has a class ``Tracker`` with the same methods. Making one constructs and starts the package's own, ``mark`` ends
an epoch, ``finish`` ends the run, ``cpu_joules`` ends it too and returns the CPU's energy since the start, and
``source`` says in a few words how that is known.
"""
