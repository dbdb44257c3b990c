"""The wire formats of HTTP events and replies, one file each, in both directions.

Rule: only a format's own file contains the field names of its events. `event` has the parts that all formats share,
`recognise` tells the formats apart, `payload` writes the event for a backend, `reply` reads its answer.
"""
