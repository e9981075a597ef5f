"""The parts of a training that its energy is split over: data, steps, validation, and a program's own."""
