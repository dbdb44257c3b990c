"""The environment that peers run in: Lambda's own variables, and an endpoint that is not Lambda."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""This checkout."""


def like_lambda(url: str, folder: Path, trusted: Path | None = None) -> dict[str, str]:
    """What a deployed function finds, a session token among it: each request is signed with one, and carries it.

    Args:
        url: of the responder.
        folder: what was packaged.
        trusted: a file of certificate authorities, for TLS.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "LAMBDA_", "LATTICE_", "COVERAGE", "POWERTOOLS_"))
        and not name.lower().endswith("_proxy")
    }
    return kept | {
        "AWS_ACCESS_KEY_ID": "ASIAQWERTYUIOPASDFGH",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "AWS_SESSION_TOKEN": "IQoJb3JpZ2luX2VjE" + "x" * 800,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_LAMBDA": url,
        "AWS_LAMBDA_FUNCTION_NAME": "bridge",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "_X_AMZN_TRACE_ID": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0",
        "LAMBDA_TASK_ROOT": str(folder),
        "LC_ALL": "C.UTF-8",
        **({} if trusted is None else {"AWS_CA_BUNDLE": str(trusted)}),
    }
