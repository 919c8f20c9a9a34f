"""All planted bugs by name."""

from tests.simulation.matrix_bugs import MATRIX_BUGS
from tests.simulation.runtime_bugs import RUNTIME_BUGS
from tests.simulation.store_bugs import STORE_BUGS

BUGS = {bug.name: bug for bug in (*STORE_BUGS, *RUNTIME_BUGS, *MATRIX_BUGS)}
