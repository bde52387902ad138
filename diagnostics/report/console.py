"""Answers as lines of text, for the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from diagnostics.report import formatting
from diagnostics.report.calibration import tables as calibration
from diagnostics.report.noise import tables as noise_tables
from diagnostics.report.ood import tables as ood
