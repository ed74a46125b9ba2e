/* What export writes, and the encoder of protobuf for ONNX. */
#ifndef CLI_TRAIN_EXPORT_H
#define CLI_TRAIN_EXPORT_H

#include "model.h"

#include <stdio.h>

/* ---- protobuf (protobuf.c): a message in memory; fields have the numbers of the message's definition ---- */

struct message {
    unsigned char *bytes; /* grows; message_free() */
    size_t size, room;
};

void message_number(struct message *message, int field, int64_t value);
void message_float(struct message *message, int field, float value);
void message_bytes(struct message *message, int field, const void *bytes, size_t size);
void message_text(struct message *message, int field, const char *text);

/* A message within it, which is freed. */
void message_add(struct message *message, int field, struct message *inner);

/* Values as little-endian bytes. */
void message_values(struct message *message, int field, cvg_type type, const void *values, int64_t count);

void message_free(struct message *message);

/* ---- ONNX (onnx.c) ---- */

/* Opset 13; "input" is N x the model's input, before scale, mean and std; "output" what the loss would read. */
void onnx_write(const struct model *model, FILE *file);

#endif
