"""The inspector: what happened to each request and record of a local stack, for a page in the browser."""
