"""Carbon intensity of electricity, location of the machine, PUE and price of electricity, all found offline."""
