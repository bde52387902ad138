"""Every exception this package raises on purpose.

OversureError               one sentence: what was expected, what came, what to do
├── InputError              the person can mend it (exit code 2)
│   ├── ImageError          an image that cannot be decoded or is refused
│   ├── ModelError          a weights file that cannot be opened
│   │   ├── ArchitectureError   no known network, or several, take these tensors
│   │   └── OutputError         what leaves the network is no row of class scores
│   ├── ClassesError        a list of class names that cannot be read
│   ├── RecipeError         a recipe that cannot be read
│   └── OptionError         an option outside its range
├── NotOfferedError         the method needs something this model does not offer
└── WorkerError             the process that holds the model failed (exit code 3)
    ├── WorkerCrashedError  it ended by itself
    ├── WorkerMemoryError   it reached its memory limit
    ├── WorkerTimeoutError  it reached its time limit
    ├── BusyError           too many questions wait already
    └── CancelledError      a person ended it
"""

CANCELLED = "Cancelled before there was an answer."


class OversureError(Exception):
    """Base of every error raised on purpose; its text is shown to people as it is."""

    @property
    def message(self) -> str:
        """The one sentence that people read."""
        return str(self)


class InputError(OversureError):
    """Something the person gave cannot be used as it is."""


class ImageError(InputError):
    """An image cannot be decoded, or is refused."""


class ModelError(InputError):
    """A weights file cannot be opened."""


class ArchitectureError(ModelError):
    """No known network takes these tensors, or several do and a person must choose."""


class OutputError(ModelError):
    """What leaves the network is no row of class scores."""


class ClassesError(InputError):
    """A list of class names cannot be read."""


class RecipeError(InputError):
    """A recipe cannot be read, or does not fit the model."""


class OptionError(InputError):
    """An option is unknown, of the wrong type, or outside its range."""


class NotOfferedError(OversureError):
    """The method needs something that this model does not offer."""


class WorkerError(OversureError):
    """The process that holds the model could not finish the request."""


class WorkerCrashedError(WorkerError):
    """The process that holds the model ended by itself."""


class WorkerMemoryError(WorkerError):
    """The process that holds the model reached its memory limit."""


class WorkerTimeoutError(WorkerError):
    """The process that holds the model reached its time limit."""


class BusyError(WorkerError):
    """Too many questions wait already."""


class CancelledError(WorkerError):
    """A person cancelled the request."""


def by_name(name: str) -> type[OversureError]:
    """Return the error class called `name`, or WorkerError when there is none."""
    found = globals().get(name)
    if isinstance(found, type) and issubclass(found, OversureError):
        return found
    return WorkerError
