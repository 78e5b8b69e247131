"""Programs to machine code: scalar expressions become vector loops through LLVM, registered as NumPy ufuncs."""
