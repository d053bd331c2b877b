"""Helpers for every room, by subject.

- What parts are given: `arguments`, `numbers`, `stored` (files and JSON from outside), `isolated`.
- What is read: `text` and its `duplicates`, `messages`, `display`, `prose`, `provenance`.
- Errors: `faults`, which judges them.
- Files shared with other processes: `lock`.
- The package itself: `lazy` imports, the `version`, `moved` names, the `optout` of telemetry.
- Both frameworks' adapters: `adapters`.
"""
