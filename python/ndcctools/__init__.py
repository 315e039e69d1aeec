"""Shares its name with other packages of cctools that may be installed beside it."""
from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
del extend_path
