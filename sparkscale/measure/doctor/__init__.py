"""Can this machine measure?"""
