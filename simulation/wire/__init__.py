"""The campaign through the wire: the real SDKs against localcloud, on a virtual clock."""
