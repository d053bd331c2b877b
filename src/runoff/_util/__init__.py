"""Helpers for every room, by subject.

- What parts are given: `arguments`, `numbers`, `stored` (files and JSON from outside), `isolated`.
- What is read: `text` and its `duplicates`, `messages`, `display`, `prose`, `provenance`.
- Errors: `faults`, which judges them.
- Files shared with other processes: `lock`.
- The package itself: `lazy` imports, the `version`, the `optout` of telemetry; what pickles of
  earlier versions need, `moved` names and `gained` fields.
- Both frameworks' adapters: `adapters`.
"""
