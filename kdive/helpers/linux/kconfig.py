# SPDX-License-Identifier: Apache-2.0
"""The configuration that the kernel was built with (CONFIG_IKCONFIG, kernel/configs.c)."""

import gzip
import re
import zlib
from collections.abc import Mapping
from types import MappingProxyType

from kdive import Program
from kdive.helpers.common.prog import takes_program_or_default

__all__ = ("get_kconfig",)

_OPTION = re.compile(rb"^(CONFIG_\w+)=(.*)$", re.MULTILINE)
_MAX_CONFIG_BYTES = 1 << 24


@takes_program_or_default
def get_kconfig(prog: Program) -> Mapping[str, str]:
    """Get the configuration of the kernel. Needs CONFIG_IKCONFIG, which few distributions set.

    >>> get_kconfig()["CONFIG_HZ"]
    '250'

    :return: Values by the names of the options. Strings keep their quotes; options that are not set are left out.
    :raises LookupError: if the kernel does not carry its configuration
    :raises ValueError: if it can't be decompressed
    """
    key = "kdive.kconfig"
    cached: Mapping[str, str] | None = prog.cache.get(key)
    if cached is not None:
        return cached
    try:
        start = prog.symbol("kernel_config_data").address
        end = prog.symbol("kernel_config_data_end").address
    except LookupError:
        raise LookupError(
            "kernel configuration data not found; the kernel must be compiled with CONFIG_IKCONFIG"
        ) from None
    if not 0 < end - start <= _MAX_CONFIG_BYTES:
        raise ValueError(f"kernel configuration has an implausible size of {end - start} bytes")
    try:
        text = gzip.decompress(prog.read(start, end - start))
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(
            f"kernel configuration at {hex(start)} can't be decompressed: {error}"
        ) from error
    options = {
        name.decode(): value.decode(errors="replace") for name, value in _OPTION.findall(text)
    }
    config = prog.cache[key] = MappingProxyType(options)
    return config
