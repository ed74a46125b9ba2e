/* Includes SELF twice, a file's code for real = float and for real = double; OF() gives each its names. */
#define real float
#define OF(name) name##_f32
#include SELF
#undef real
#undef OF
#define real double
#define OF(name) name##_f64
#include SELF
#undef real
#undef OF
