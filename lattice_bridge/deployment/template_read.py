"""A template of either kind -> its resources as CloudFormation would make them.

Rule: what is judged is what AWS makes of a template, not what is written in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lattice_bridge.deployment.template_sam import is_sam, translate
from lattice_bridge.local.template import BadTemplate, Template, read_template, resolve


def read_translated(path: Path, parameters: Mapping[str, str], region: str) -> Template:
    """The template in a file, translated if it is SAM, with every reference resolved.

    Args:
        path: YAML or JSON.
        parameters: values for the template's parameters; the others have their defaults.
        region: what `AWS::Region` is.

    Raises:
        BadTemplate: it cannot be read, or not translated for want of the translator.
        NotTranslated: the translator refuses it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadTemplate(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise BadTemplate(f"{path}: not UTF-8 at byte {error.start}") from error
    if not is_sam(text):
        return read_template(path, parameters, region)
    return resolve(translate(text, parameters, region), path, parameters, region)
