"""What a stack has to be, described in a template or deployed.

Rule: the core does not import this. What is here judges a stack beside bridge.toml, and changes neither.
"""
