from hypothesis import settings

# an example's time limit measures the machine, not the code
settings.register_profile("runoff", deadline=None)
settings.load_profile("runoff")
