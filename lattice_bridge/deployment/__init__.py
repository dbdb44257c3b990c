"""Checks of a stack beside bridge.toml: of its template, and of what is deployed.

Rule: the bridge imports nothing from here, and nothing here changes a stack. The local stack imports `cloudformation`
and `iam`, so that there is one reader of templates and one model of policies.
"""
