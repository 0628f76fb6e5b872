"""An IPsec gateway in user space: IKEv2 in Python, ESP in Rust. Importing this package imports nothing else."""

from __future__ import annotations

__all__ = ["__version__", "native_version"]


def native_version() -> str | None:
    """Version of the native module; None when it is not built or does not load."""
    try:
        from ironswan import _native
    except ImportError:
        return None
    return str(getattr(_native, "__version__", "unknown"))


def _version() -> str:
    from importlib import metadata

    try:
        return metadata.version("ironswan")
    except metadata.PackageNotFoundError:
        return native_version() or "unknown"


def __getattr__(name: str) -> str:
    # Reading the metadata costs more than the whole import; only who asks pays.
    if name == "__version__":
        return _version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
