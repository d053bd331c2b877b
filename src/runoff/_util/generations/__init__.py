"""A directory of files that stays complete even if a process is killed while writing to it.

```
PATH/runoff.json          the pointer: kind, version, facts, and name, size and SHA-256 of every
                          file of the current generation
PATH/generations/NAME/    files that never change
PATH/.lock                held by the process that writes
```

A writer makes a new generation, forces it to the disk and replaces the pointer, which is one atomic
rename; then it removes the previous generation. A process killed at any moment leaves the old state
or the new one, and the next writer removes its leftovers. Readers that have an older generation
open keep it.
"""

from runoff._util.generations.files import NewGeneration, StoredGeneration, damaged
from runoff._util.generations.pointer import Kind
from runoff._util.generations.publish import publish
from runoff._util.generations.read import current_generation, read

__all__ = [
    "Kind",
    "NewGeneration",
    "StoredGeneration",
    "current_generation",
    "damaged",
    "publish",
    "read",
]
