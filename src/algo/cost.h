/*
 * The numbers of AUTO's model (docs/algorithms.md, AUTO).  Rates count multiplications at the processor's peak; shares
 * are parts of that peak.  They were fitted to times on Zen 3 and Sapphire Rapids cores; bench/fit.py fits them to
 * those of another machine.
 */
#ifndef CVG_COST_H
#define CVG_COST_H

/* ---- direct ---- */

#define CVG_DIRECT_CALL 20000.0 /* A call takes as long as so many: plans, threads, tables. */
#define CVG_DIRECT_STRIDED 24.0 /* An element is written stride elements further on; a line of cache serves fewer. */

#define CVG_CHANNELS_SHARE 0.87   /* Lanes of channels keep the microkernel this near the peak. */
#define CVG_CHANNELS_NARROW 1.3   /* Less than 32 channels leave lanes of the last vectors unused. */
#define CVG_CHANNELS_FEW 3.2      /* Less than 16 channels leave most lanes unused. */
#define CVG_CHANNELS_PACKED 30.0  /* An element of the weight is packed to panels. */
#define CVG_CHANNELS_WRITTEN 22.0 /* An element of the result is turned from lanes to rows. */

#define CVG_PIXELS_SHARE 0.43   /* Lanes of pixels with few channels: few sums for each load. */
#define CVG_PIXELS_TAP 245.0    /* Each tap lengthens the sum, and brings the share up by one part of so many; */
#define CVG_PIXELS_TAPS 0.2     /* to this at most. */
#define CVG_PIXELS_STRIDED 0.7  /* The share of strided grad_input, which has many channels here. */
#define CVG_PIXELS_LAST 0.24    /* The share where pixels lie apart, channels last; */
#define CVG_PIXELS_APART 80.0   /* there each phase of a strided grad_input gathers an element of the source anew. */
#define CVG_PIXELS_WRITTEN 10.0 /* An element of the result is written as it is. */

#define CVG_DENSE_SHARE 0.72 /* A matrix product on plain memory, whose sums grow in the result. */

#define CVG_DEPTHWISE_SHARE 0.6    /* A filter of one channel reads a vector for each product. */
#define CVG_DEPTHWISE_MANY 0.22    /* Several output channels of one input channel add up in grad_input. */
#define CVG_DEPTHWISE_WRITTEN 30.0 /* Memory holds it: an element is read, padded and written. */

#define CVG_SQUARES_SHARE 0.6    /* Channels of groups are picked once for three products. */
#define CVG_SQUARES_WRITTEN 10.0 /* An element of the result is written as it is. */

#define CVG_WEIGHT_SHARE 0.9   /* grad_weight by lanes of k. */
#define CVG_WEIGHT_FEW 1.3     /* Tiles of 5 to 15 channels c have few rows. */
#define CVG_WEIGHT_NARROW 1.3  /* Tiles of less than 32 channels k have few lanes. */
#define CVG_WEIGHT_TURNED 20.0 /* An element of either operand is copied to a window or turned to lanes. */

#define CVG_DOTS_SHARE 0.45 /* Dot products load two vectors for few products. */
#define CVG_DOTS_READ 15.0  /* An element of either operand is read or copied to a box. */

/* ---- im2col ---- */

#define CVG_IM2COL_CALL 40000.0
#define CVG_IM2COL_LAST 4.0         /* Channels last, elements of a row lie apart, and are read and added one by one; */
#define CVG_IM2COL_CHANNELS 8.0     /* once more as long for each so many channels between them, */
#define CVG_IM2COL_APART 24.0       /* to so many times as long. */
#define CVG_IM2COL_SHARE 70.0       /* The matrix product, in percent of the peak, */
#define CVG_IM2COL_SHARE_BACK 75.0  /* and that of grad_input. */
#define CVG_IM2COL_COLUMN 30.0      /* An element of the column matrix is gathered, */
#define CVG_IM2COL_COLUMN_BACK 34.0 /* or added to the image; */
#define CVG_IM2COL_ROW_BACK 200.0   /* a row of these is begun. */
#define CVG_IM2COL_ELEMENT 20.0     /* An element of an operand is read from far, */
#define CVG_IM2COL_ELEMENT_BACK 4.0
#define CVG_IM2COL_IMAGE 20.0  /* or one of the image that columns are added to. */
#define CVG_IM2COL_WEIGHT 33.0 /* A weight is read once for each image. */

/* ---- winograd ---- */

#define CVG_WINOGRAD_CALL 100000.0
#define CVG_WINOGRAD_SHARE 0.86       /* The products of all points. */
#define CVG_WINOGRAD_TRANSFORM 20.0   /* A point of source or destination is transformed, */
#define CVG_WINOGRAD_TRANSFORM_8 28.5 /* of 8 points along an axis; */
#define CVG_WINOGRAD_ONE_AXIS 0.7     /* along one axis alone; */
#define CVG_WINOGRAD_FEW 2.5          /* Less than 8 destination channels do not hide the writing of all sub-filters. */
#define CVG_WINOGRAD_GRADIENT 1.0     /* of both operands of grad_weight. */
#define CVG_WINOGRAD_WEIGHT 19.0      /* A point of the weight is transformed, */
#define CVG_WINOGRAD_WEIGHT_8 24.0    /* of 8 points along an axis. */
#define CVG_WINOGRAD_AGAIN 0.7        /* Each further sub-filter transforms the same source, which is near by then. */
#define CVG_WINOGRAD_BACK 15.0        /* A point of grad_weight's sums is transformed back, */
#define CVG_WINOGRAD_BACK_SUBS 62.0   /* in pieces for each sub-filter; */
#define CVG_WINOGRAD_SUBS 1.1         /* which makes the rest of grad_weight slower, too. */
#define CVG_WINOGRAD_SUMS 20.0        /* A point of sums that are not near is read or written again. */

#endif
