"""The pure middle: identifiers, signed structs, the manifest, the rules. No I/O, no clock, no dice."""
