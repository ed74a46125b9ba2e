#include "peer.h"

#include <stdio.h>
#include <string.h>

const struct peer *const peers[] = {
#ifdef CVG_HAVE_ONEDNN
    &peer_onednn,   &peer_onednn_plain, &peer_onednn_nhwc, &peer_onednn_reorder,
#endif
#ifdef CVG_HAVE_OPENBLAS
    &peer_openblas,
#endif
    NULL,
};

struct array *layer_result(struct layer *layer, cvg_pass pass)
{
    struct array *const results[] = {&layer->output, &layer->grad_input, &layer->grad_weight};
    return results[pass];
}

const char *peer_list(void)
{
    static char text[128];
    const char *last = "";
    size_t length = (size_t)snprintf(text, sizeof text, peers[0] ? "" : " no peers");
    for (int i = 0; peers[i] && length < sizeof text; i++)
        if (strcmp(last, peers[i]->library)) {
            last = peers[i]->library;
            length += (size_t)snprintf(text + length, sizeof text - length, " %s", last);
        }
    return text;
}
