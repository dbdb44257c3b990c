"""The formats a backend can be told a request in, one file each.

Rule: each is made of the one Forwarded, none of another format. What Lattice does not say is in `derived`.
"""
