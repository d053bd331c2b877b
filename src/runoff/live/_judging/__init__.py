"""How `judge` works: what differs, who grades it, where the grades are kept, how good they are."""
