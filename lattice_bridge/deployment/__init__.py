"""What a stack has to be, described in a template or deployed.

Rule: the core does not import this. What is here judges a stack beside bridge.toml, and changes neither. The local
stack imports `doctor_policy` and `policy_condition`, so that there is one reader of policies.
"""
