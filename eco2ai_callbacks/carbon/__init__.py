"""How much CO2e a kilowatt-hour causes, where the machine is, what its data centre adds, what it costs: all offline."""
