"""`reconciler emulator`: serves until it is stopped."""
