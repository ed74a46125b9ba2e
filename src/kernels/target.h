/*
 * TARGET names the instruction set that the rest of the file may use.  It stands
 * in the source, not in compiler flags, so that any build compiles every file.
 */
#define TARGET_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define TARGET(set) TARGET_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define TARGET_END _Pragma("clang attribute pop")
#else
#define TARGET(set) TARGET_PRAGMA(GCC target(set))
#define TARGET_END
#endif
