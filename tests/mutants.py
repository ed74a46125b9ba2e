"""Plants single faults in the library, one at a time, and shows which tests catch each.

    python3 tests/mutants.py [--jobs N] [--places] [NUMBER...]

Copies the sources to a temporary folder, changes one place, builds, and runs the tests from the
quickest on until one fails.  A fault that none catches "survives", and the script exits 1.  Prints
the table that docs/testing.md shows.
"""
import argparse
import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

# File, the text that stands there exactly once, what replaces it, and what fault that is.
MUTANTS = [
    # The problem and the plan
    ("shape.c", "*out = (padded - 1 - reach) / conv->stride[axis] + 1;", "*out = (padded - reach) / conv->stride[axis] + 1;", "output size one too large when the stride leaves a border"),
    ("shape.c", "if (reach < 0 || reach >= padded)", "if (reach < 0 || reach > padded)", "a filter that is one too large is accepted"),
    ("shape.c", "s.pad[axis] = conv->pad_begin[from];", "s.pad[axis] = conv->pad_end[from];", "padding at the begin and at the end mixed up"),
    ("shape.c", "s.dilation[axis] = conv->dilation[from];", "s.dilation[axis] = conv->dilation[0];", "one dilation for all axes"),
    ("plan.c", "plan->error_growth = options.error_growth;", "plan->error_growth = 12.0;", "error_growth is not looked at"),
    ("api.c", ".accumulate = mode == CVG_ACCUMULATE}", ".accumulate = 0}", "CVG_ACCUMULATE is ignored"),
    ("api.c", ".scale = pass == CVG_FORWARD ? 1 : plan->gradient_scale,", ".scale = plan->gradient_scale,", "forward is scaled like a gradient"),
    ("api.c", "return !batch_operand && plan->shape.N > 0;", "return !batch_operand && plan->shape.N > 1;", "a NULL operand passes for batch 1"),
    ("run/parallel.c", "while ((job = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed)) < crew->jobs)", "while ((job = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed)) < crew->jobs - (crew->jobs > 40))", "the last of many jobs is dropped"),
    ("run/parallel.c", "job = atomic_fetch_add_explicit(&crew->next, 1, memory_order_relaxed)", "job = crew->next, crew->next = job + 1, job", "two threads may take one job"),
    ("run/job.c", "return used ? used + CVG_ALIGNMENT - 1 : 0;", "return used;", "the workspace of an unaligned pointer is too small"),
    ("run/job.c", "(CVG_ALIGNMENT - (uintptr_t)workspace % CVG_ALIGNMENT) % CVG_ALIGNMENT", "(CVG_ALIGNMENT - (uintptr_t)workspace % CVG_ALIGNMENT)", "an aligned workspace is moved by a line"),
    ("plan_text.c", "CVG_PLAN_VERSION", "0", "the version of a plan's text is not its own"),
    ("plan.c", "algorithm->mixes && cvg_plan_keeps_structure(plan) ? CVG_PAYS : 1", "1", "what mixes neighbours need not pay"),
    ("plan.c", "algorithm->mixes && cvg_plan_keeps_structure(plan) && plan->inner.rank == 1", "0", "rank 1 mixes neighbours by default"),
    ("api.c", "task_of(plan, CVG_FORWARD, output, CVG_OVERWRITE);\n    task.grad_output = input;", "task_of(plan, CVG_GRAD_INPUT, output, CVG_OVERWRITE);\n    task.grad_output = input;", "a transposed convolution is scaled like a gradient"),
    ("tensor/task.h", "finish.bias = cvg_at(task, finish.bias, channel);", "finish.bias = cvg_at(task, finish.bias, 0);", "one bias for all channels of a transposed convolution"),
    ("api.c", "transposed ? plan->shape.C : plan->shape.K", "plan->shape.K", "grad_bias of a transposed convolution leaves a pixel out"),
    ("algo/im2col.c", "(int64_t)kernels->size,\n                            &finish);", "(int64_t)kernels->size,\n                            &(struct cvg_finish){finish.scale, finish.bias, 0});", "im2col's forward does not accumulate"),
    # Method 1
    ("tensor/box.c", ".count = (s->in[axis] - phase - 1) / stride + 1,", ".count = (s->in[axis] - 1) / stride + 1,", "a stride phase has one element too many"),
    ("tensor/box.c", "a.tap_source_step = -(dilation / common);", "a.tap_source_step = -1;", "dilation forgotten in the phases of grad_input"),
    ("tensor/box.c", "a->length, a->source_size, &in.low", "a->length, a->source_size - 1, &in.low", "the last source element is left out of the box"),
    ("tensor/box.c", "*end = cvg_max(*first, *end);", "*end = cvg_max(*first, *end - falls);", "the last tap of a border is dropped"),
    ("tensor/sizes.h", "step == 1 ? -first : cvg_ceil_div(-first, step)", "step == 1 ? -first : -first / step", "a stride's first element lies before the axis"),
    ("tensor/sizes.h", "step == 1 ? -first : cvg_ceil_div(-first, step)", "step == 1 ? -first - 1 : cvg_ceil_div(-first, step)", "the left border reads before the row"),
    ("tensor/view.c", "d < low[0] || d >= high[0] ? count[1] : low[1]", "low[1]", "planes outside the source are read"),
    ("tensor/sizes.h", "(extent - 1 - first) / step + 1", "(extent - 1 - first) / step", "a stride's last element is forgotten"),
    ("tensor/window.c", "begin * s->stride[axis] - s->pad[axis]", "begin - s->pad[axis]", "grad_weight takes a later region's positions for those of the first"),
    ("algo/direct/depthwise.c", "const int64_t channel = pair->g * M + m;", "const int64_t channel = pair->g + m;", "depthwise with a multiplier takes another channel's filter"),
    ("algo/direct/depthwise.c", "memset(boxes, 0, (size_t)(together * each * size));", "memset(boxes, 0, (size_t)(each * size));", "a stale box for the images after the first"),
    ("algo/direct/planes.c", "groups = M == 1 ? cvg_min(end - i, s->G - g) : 1;", "groups = M == 1 ? end - i : 1;", "planes of the next image have filters behind the last one"),
    ("kernels/body_frames.h", "v_splat(w[f->weight_next])", "v_splat(w[0])", "both planes of a pair have the first one's filter"),
    ("kernels/body_nine.h", "w->ends = i + now > inner;", "w->ends = 0;", "a column behind the last one is weighed"),
    ("kernels/body_halves.h", "const bits_vec rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;", "const bits_vec rounded = (bits + 0x8000) >> 16;", "a vector of halves is rounded up where two are as near"),
    ("kernels/body_nine.h", "s += w->begins ? column : 0;", "", "columns that are loaded once begin before the first one"),
    ("kernels/body_squares.h", "at[i] = i / group * group;", "at[i] = 0;", "all groups pick the channels of the first one"),
    ("algo/direct/squares.c", "before = pad + s->in[axis] - 1 - stride * (s->out[axis] - 1);", "before = pad;", "grad_input of groups begins where forward does"),
    ("algo/direct/squares.c", "p.tap = ((before - at) % stride + stride) % stride;", "p.tap = 0;", "all phases of a strided grad_input have the first tap"),
    ("tensor/window.c", "w.step[i] = source->step[i] * regions->shape->stride[i];", "w.step[i] = source->step[i];", "places of a stride are read one beside the other"),
    ("algo/winograd/gather.c", "sums + ((first + row) * across", "sums + (row * across", "channels last, all rows of tiles have the sums of the first"),
    ("kernels/body_frames.h", "put.base = v_splat(((const real *)finish->bias)[c]);", "put.base = v_splat(((const real *)finish->bias)[0]);", "planes that are filtered together have the first one's bias"),
    ("kernels/body_frames.h", "low = column < 0 ? -column : 0, high", "low = 0, high", "a frame's left border reads the row before"),
    ("algo/direct/dots.c", "unit += together;", "unit++;", "images that were added together are added again"),
    ("algo/direct/dots.c", "memset(b->x.sums, 0,", "if (part == 0) memset(b->x.sums, 0,", "a stale sum of the workspace"),
    ("algo/direct/dots.c", "if (piece != *opened)", "if (*opened < 0)", "a box laid out for another piece"),
    ("algo/direct/weight.c", "b.k_count = cvg_min(cut->k_count, s->Kg - b.k);", "b.k_count = cut->k_count;", "the last block of k is as long as the others"),
    ("algo/direct/weight.c", "each = cvg_ceil_div(cut->regions.count, job->work->parts);", "each = cut->regions.count / job->work->parts;", "grad_weight leaves out the regions that no part is given"),
    ("algo/direct/weight.c", "if (alike[0] && !memcmp(is->alike, alike, sizeof alike))", "if (alike[0] && is->rows)", "lists of the first region serve all of a job"),
    ("algo/direct/weight.c", "meets &= first < end;", "meets = first < end;", "a tap outside the input along one axis is added"),
    ("algo/direct/channels.c", "sums.base + n * image, &finish);", "sums.base + n * image, &(struct cvg_finish){finish.scale, finish.bias, 0});", "a missing accumulate"),
    ("algo/direct/pixels.c", "x[1].count, x[2].count, &finish);", "x[1].count, x[2].count, &(struct cvg_finish){finish.scale, finish.bias, 0});", "a missing accumulate"),
    ("algo/direct/pixels.c", "<= MOVED_SUM && !t->finish.accumulate &&", "<= MOVED_SUM &&", "sums that grow in the result where it is to be added to"),
    ("algo/direct/pixels.c", "(sums || finish.bias || finish.scale != 1)", "sums", "sums that grew in the result miss bias and scale"),
    # Layouts
    ("shape.c", "s.weight_layout == CVG_KRSC ? 1 : s.K;", "s.weight_layout == CVG_KRSC ? 1 : s.Kg;", "RSCK with groups has the steps of one group"),
    ("shape.c", "{own[IMAGE], own[CHANNEL], {own[PLANE], own[ROW], own[COLUMN]}}", "{own[IMAGE], own[CHANNEL], {own[PLANE], own[ROW], own[COLUMN]}}; steps->image = own[PLANE] * counts[PLANE] * (conv->layout ? 1 : channels)", "a gap between images is not looked at"),
    ("shape.h", "(axis ? 1 : extent[1]) * extent[2] * step[2];", "extent[axis + 1] * step[axis + 1];", "rows of planes with gaps are taken for one line"),
    ("tensor/view.c", "for (int64_t i = 0; width < lanes && i < count; i++)", "for (int64_t i = 0; width < lanes && i < 0; i++)", "stale lanes where channels last end"),
    ("shape.c", "other.in_steps = s->out_steps;", "other.in_steps = s->in_steps;", "the swapped problem has the steps of the other tensor"),
    ("algo/direct/weight_last.c", "each = cvg_ceil_div(cut->regions.count, job->work->parts);", "each = cut->regions.count / job->work->parts;", "channels last leaves out the regions that no part is given"),
    ("algo/direct/weight_last.c", "b.lane_count = cvg_min(cut->lane_count, cut->lanes - b.lane);", "b.lane_count = cut->lane_count;", "the last block of lanes is as long as the others"),
    ("tensor/window.c", "w->input[around] == count * input && ", "", "levels with gaps in the input are walked as one"),
    ("algo/direct/weight.c", "x->there[x->b[j]]", "x->there[j]", "grad_output is read in place at positions that a tap does not have"),
    ("algo/direct/channels.c", "b->cut->in_result && width == lanes && !f", "b->cut->in_result && !f", "sums of a rest of channels grow over their neighbours"),
    ("algo/direct/channels.c", "b.window.base += b.region.begin[2] * source.step[2] * (int64_t)t->kernels->size;", "(void)source;", "all regions of an image that share lists read the first one"),
    ("algo/direct/channels_cut.c", "s->in_steps.image == s->in_size * s->in_steps.axis[2] &&", "", "images with gaps between them are taken for evenly apart"),
    ("algo/direct/groups_open.c", "b->region.n = region->n + done;", "b->region.n = region->n;", "turned planes are all those of the first image"),
    ("algo/direct/groups.c", "const int even = M == 1 || weight.g == M * weight.m;", "const int even = 1;", "weights of all groups are the first one's"),
    ("kernels/body_lanes.h", "at[i] = ((first + l + i) / m - group) * copies;", "at[i] = ((first + l + i) / m - group) * m;", "a copy holds other groups' channels"),
    ("algo/direct/dense.c", "const int values = d == o * stride[0] && h == p * stride[1];", "const int values = h == p * stride[1];", "sums are spread to all planes between two of the gradient"),
    ("algo/direct/weight_last.c", "tap, i == part * each);", "tap, 1);", "grad_weight, channels last, has the products of the last region alone"),
    ("algo/direct/weight_last.c", "cvg_positions_copied(&in_place, step, in_place.rows);", "cvg_positions_copied(&in_place, step - APART, in_place.rows);", "copied rows are read from where they are not"),
    ("algo/direct/groups_open.c", "turned.row = at.step;", "turned.row = at.row;", "a border is written along the wrong axis"),
    ("kernels/body_lanes.h", "f->biased ? bias : dst + i * dst_step", "f->biased ? bias : dst", "channels last, depthwise adds the first old value to all"),
    ("algo/direct/dense.c", "block->there = cvg_view_channel(source, pair * L + block->l) + pixel * size;", "block->there = cvg_view_channel(source, pair * L + block->l);", "all pixels of a matrix product in place are the first ones"),
    ("algo/parts.c", "cvg_work_phase(work, cvg_ceil_div(s->K, together(s)), add_job);", "cvg_work_phase(work, cvg_max(1, s->K / together(s)), add_job);", "the last weights of several parts are not added"),
    ("algo/parts.c", "for (int64_t i = 0; i + apart < parts; i += 2 * apart)", "for (int64_t i = 0; i + 2 * apart <= parts; i += 2 * apart)", "the last of an odd number of parts is lost"),
    ("tensor/view.c", "(const int64_t[3]){r.planes, r.rows, r.length}, v->step);", "(const int64_t[3]){r.planes, r.rows, r.length - (r.length > 16)}, v->step);", "grad_bias forgets the last pixel"),
    ("shape.c", "flat->C = s->C * s->in_size;", "flat->C = s->C;", "the flat problem has the channels of one pixel"),
    ("api.c", "seen.finish.bias = NULL;\n        seen.finish.accumulate = 1;", "", "a bias for the flat problem's other channels"),
    ("algo/direct/channels.c", "panel_at = own.base + (b->g * own.g + m + l * own.l) * size;", "panel_at = own.base + (b->g * own.g + m) * size;", "a weight in place is read from its first row again"),
    ("algo/direct/dots.c", "b->x.a[i] = i * (there ? gradient.channel : count[0] * plane);", "b->x.a[i] = i * (there ? gradient.channel : plane);", "copied planes of grad_output overlap in depth"),
    ("tensor/window.c", "w->image *= channels;", "", "a window of lanes has its images one over the other"),
    # Halves
    ("kernels/body_halves.h", "nan : (bits + 0x7fff + (bits >> 16 & 1)) >> 16", "nan : (bits + 0x8000) >> 16", "halfway numbers are rounded up"),
    ("kernels/body_halves.h", ": rest < 0x38800000 ", ": rest < 0x38000000 ", "subnormal float16 are taken for normal"),
    ("kernels/body_halves.h", "(bits_vec)(rest < 0x38800000)", "(bits_vec)(rest < 0x38000000)", "subnormal float16 of a vector are taken for normal"),
    ("kernels/body_depth.h", "j <= last - taps / 2)", "j <= last)", "a column behind the last one is read"),
    ("kernels/body_halfnine.h", "x == 2 && outside ? half_zeros", "0 ? half_zeros", "weights of halves see a column behind the last one"),
    ("algo/direct/groups_open.c", "f->first[0] -= from;", "(void)from;", "copied rows of grad_weight are read from another one on"),
    ("algo/direct/groups_open.c", "to = f->first[0] + (rows - 1) * f->step[0] + 3;", "to = f->first[0] + (rows - 1) * f->step[0] + 2;", "the last copied row of grad_weight is taken for one outside"),
    ("algo/direct/groups.c", "&& part[1] <= last;", ";", "weights of halves are summed by rows where others sum by columns"),
    ("algo/direct/groups.c", "(rows - 1) * stride + 3;", "(rows - 1) * stride + 2;", "pieces of turned planes lack the last row that they read"),
    ("algo/direct/squares.c", "s->filter[axis], begin * stride - pad, stride};", "s->filter[axis], begin * stride - pad, 1};", "depthwise layers with a stride read without"),
    ("halves.c", ".accumulate = task->finish.accumulate}", ".accumulate = 0}", "results of halves are not added up"),
    ("halves.c", "if (pass == CVG_GRAD_WEIGHT && units < stage->each)", "if (0)", "images of the round before are summed again"),
    ("tensor/elements.c", "const char *const two = whole == 0 ? NULL", "const char *const two = 0 ? NULL", "the pair of a last position has one that is not there"),
    ("tensor/elements.c", "        if (p == pairs) {\n", "        if (0) {\n", "pairs of the next image are looked for in this one"),
    ("tensor/elements.c", "memcpy((char *)(to + c) + v->size, at[1]", "memcpy((char *)(to + c), at[1]", "a pair whose first column is padding has the second in its place"),
    ("tensor/window.c", "cvg_pairs_of(s) == CVG_PAIRS_SWAPPED ? 2 : 1;", "1;", "regions cut pairs of columns that are floats"),
    ("halves.c", "(struct cvg_columns){-s->pad[2], extent[2], 1, s->stride[2]}", "(struct cvg_columns){-s->pad[2], extent[2], 1, 1}", "pairs of the input are neighbours, whatever the stride"),
    ("tensor/view.c", "        v.step[i] *= t->shape->stride[i];\n", "", "pairs of positions are of neighbours, whatever the stride"),
    ("algo/direct/weight_last.c", "        if (cvg_pairs_of(block->task->shape) == CVG_PAIRS_SWAPPED)", "        if (0)", "the first of a pair of positions is added first"),
    ("algo/parts.c", "cvg_are_pairs(s) ? cvg_times(work, 2) : work", "work", "processors that multiply pairs have other parts of a sum"),
    ("halves.c", "inner.finish.accumulate = pass == CVG_GRAD_WEIGHT && n > 0;", "inner.finish.accumulate = 0;", "only the last images reach grad_weight"),
    ("shape.c", "s.grad_type = conv->grad_type == CVG_SAME_TYPE ? s.type : conv->grad_type;", "s.grad_type = s.type;", "grad_type is not looked at"),
    ("tensor/elements.c", "offset += first % counts[level] * steps[level];", ";", "gaps of halves are not seen"),
    ("tensor/elements.c", "    finish->scale = 1;\n", "", "float gradients of halves are scaled twice"),
    ("algo/direct/groups.c", "cut.turned = halves || (turned", "cut.turned = (turned", "results of depthwise halves are written as floats"),
    # Method 2
    ("algo/im2col.c", "cvg_inside(w, step, count, s->in[2], &run.low, &run.high);", "cvg_inside(w, 1, count, s->in[2], &run.low, &run.high);", "im2col takes what a stride passes for what is read"),
    ("algo/im2col.c", "cvg_inside(w, step, count, s->in[2], &run.low, &run.high);", "cvg_inside(w, step, count, s->in[2] - 1, &run.low, &run.high);", "im2col forgets the last column"),
    ("algo/im2col.c", "memset(row + (size_t)run.high * size, 0,", "memset(row + (size_t)run.high * size, 0, 0 *", "stale columns where the padding is"),
    ("algo/im2col.c", "if (t->finish.accumulate)", "if (t->finish.accumulate || 1)", "col2im adds to what was there"),
    ("algo/im2col.c", "x->lanes, lanes, ld, x->col, lanes, ld, k == 0);", "x->lanes, lanes, ld, x->col, lanes, ld, 1);", "only the last block of k counts in grad_input"),
    ("algo/im2col.c", "tap == 0);\n    }\n    for (int64_t i = 0; i < k_count; i++) {", "1);\n    }\n    for (int64_t i = 0; i < k_count; i++) {", "only the last block of taps counts in forward"),
    # Winograd
    ("algo/winograd/winograd.c", "if (i && s->dilation[i] != 1", "if (i > 1 && s->dilation[i] != 1", "Winograd takes rows with gaps"),
    ("algo/winograd/tiles.c", "cvg_ceil_div(cvg_max(0, d->lead - high), d->gap)", "cvg_ceil_div(cvg_max(0, d->lead - low), d->gap)", "taps that only the last planes of a group read are left out"),
    ("algo/winograd/tiles.c", "(s->filter[0] - 1) * s->dilation[0] - s->pad[0] : s->pad[0]", "s->pad[0] : s->pad[0]", "grad_input with the padding of forward, along planes"),
    ("algo/winograd/weight.c", "if (begin == end)", "if (0)", "stale sums of a tap that reads no plane"),
    ("algo/winograd/gather.c", "first == all->first);", "block == 0);", "stale sums where the first block of channels is left out"),
    ("algo/winograd/tiles.c", "s->filter[axis] - 1 - s->pad[axis] : s->pad[axis];", "s->pad[axis] : s->pad[axis];", "grad_input with the padding of forward"),
    ("tensor/view.c", "memset(to + end * columns * vector, 0, (size_t)((count[0] - end) * columns * vector));", "", "a stale lower border"),
    ("algo/winograd/points.c", "divisor *= point[i] - point[j];", "divisor *= point[i] + point[j];", "a wrong divisor in Winograd's matrices"),
    ("algo/winograd/gather.c", "const int64_t flip = cut->view.gradient ? -1 : 1;", "const int64_t flip = 1;", "the filter is not turned in grad_input"),
    ("algo/winograd/gather.c", "x->place + at, first == all->first);", "x->place + at, 1);", "only the last block of channels counts"),
    ("algo/winograd/gather.c", "count = cvg_min(cvg_min(FEW, l_end - l), cut->view.L - channel);", "count = cvg_min(FEW, l_end - l);", "weights of a sub-filter taken for the next one's"),
    ("algo/winograd/gather.c", "    return (struct piece){job, job->task, cvg_state(job), scratch_of(job)};", "    static struct cvg_job first; first = *job; first.worker = 0;\n    return (struct piece){job, job->task, cvg_state(job), scratch_of(&first)};", "a racy sum: all threads share one scratch"),
    ("algo/winograd/weight.c", "multiply(&p, cvg_winograd_tiles(w, first, last), first == begin);", "multiply(&p, cvg_winograd_tiles(w, first, last), first == 0);", "parts after the first begin with a stale sum"),
    ("algo/winograd/weight.c", "end = s->N * (part + 1) / parts * w->image_runs;", "end = (s->N * part / parts + s->N / parts) * w->image_runs;", "images that the parts do not divide are left out"),
    ("algo/winograd/transform.c", "y < rows.out && end - first < width", "y < rows.out && end < width && end - first < width", "columns before an image that is read in place are not zeros"),
    # Kernels
    ("kernels/body_squares.h", "memcpy(to + t * sums_tap, own + t * VW + HALF, HALF * sizeof(real));", "memcpy(to + t * sums_tap - HALF, own + t * VW, VW * sizeof(real));", "sums of half a vector's neighbours are added up twice"),
    ("kernels/body_rows.h", "s + (at + h * TW) * lanes + l, lanes);", "s + at * lanes + l, lanes);", "a streamed line is its first half, twice"),
    ("kernels/body_rows.h", "% LINE == 0 && step * (int64_t)sizeof(real) % LINE == 0 &&", "% LINE == 0 &&", "lines are streamed to places that are not aligned"),
    ("kernels/body_tiles.h", "const int64_t *const a_end = terms->a + terms->count,", "const int64_t *const a_end = terms->a + terms->count - (terms->count > 64),", "long sums lose their last product"),
    ("kernels/body_tiles.h", "sum[i][v] = first ? v_zero() : v_load(to + place[i] + v * VW);", "sum[i][v] = v_zero();", "sums are not continued"),
    ("kernels/body_points.h", "both[1][i] = v_sub(x[i], x[i + 1]);", "both[1][i] = v_sub(x[i + 1], x[i]);", "a sign in the way back from points"),
]

# Faults of training: the file below train/.
TRAIN_MUTANTS = [
    ("layers/pool.c", "OF(offset_of)(&p, *place))] += *dy++;", "OF(offset_of)(&p, *place))] = *dy++;", "gradients of overlapping windows do not add up"),
    ("layers/pool.c", "if (found < 0 || value > most || value != value)", "if (found < 0 || value >= most || value != value)", "the last of equal values wins"),
    ("layers/pool.c", "a[p->in[2] - 1] = b[p->in[2] - 1] = 0;", ";", "a stale gradient in a column that no window reaches"),
    ("layers/batchnorm.c", "v.from[j] = (real)(sum[j] / count)", "v.from[j] = 0", "batch norm's mean is taken for a constant"),
    ("layers/batchnorm.c", "(real)(squares[j] + count * off * off)", "(real)squares[j]", "the running variance forgets that shards have other means"),
    ("layers/pool.c", "-(first | (value > y[c]) | (value != value))", "-(first | (value >= y[c]) | (value != value))", "channels last, the last of equal maxima wins"),
    ("layers/pool.c", "x[OF(element)(p, w, t, r, s) + j];", "x[OF(element)(p, w, t, r, s)];", "channels last, an average is that of the first channel"),
    ("layers/shape.c", "cvt_turn(c->run->network, &c->layer->in, c->run->count, 1, c->dy, c->dx);", "cvt_turn(c->run->network, &c->layer->in, c->run->count, 0, c->dy, c->dx);", "flatten's gradient is turned the wrong way"),
    ("layers/loss.c", "c->run->use == CVG_TRAIN && cvt_turned(c->run->network, in)", "0", "mse compares channels last with channels first"),
    ("layers/dropout.c", "shard->index ? shard->index[s] : s", "s", "dropout is keyed by the place in the shard"),
    ("layers/dropout.c", "(uint32_t)(first / 4), number", "0, number", "dropout's numbers begin again every 128 elements"),
    ("random.c", "c0[i] = first + i;", "c0[i] = first;", "numbers side by side are all those of one block"),
    ("layers/loss.c", "(i == target[s])) / batch);", "(i == target[s])) / (double)c->run->count);", "a shard's mean instead of the batch's"),
    ("layers/conv.c", "if (pass != (int)forward)", "if (pass == (int)CVG_GRAD_WEIGHT)", "no workspace for the gradient of the input"),
    ("layers/linear.c", "for (int pass = CVG_FORWARD; pass <= CVG_GRAD_INPUT && l->trains; pass++)", "for (int pass = CVG_GRAD_WEIGHT; pass <= CVG_GRAD_WEIGHT && l->trains; pass++)", "no workspace for linear's gradients"),
    ("place.c", "return a->begin[use] <= b->end[use] && b->begin[use] <= a->end[use];", "return a->begin[use] < b->end[use] && b->begin[use] < a->end[use];", "arrays of one step overlap"),
    ("place.c", "!(n->layer[l->from].kind->reads_y && n->layer[l->from].trains)", "1", "a result is overwritten that backward reads"),
    ("place.c", "l->adds[j] = written;", "l->adds[j] = 0;", "of two gradients of a shortcut the last one stays"),
    ("update.c", "(squares > 0 ? squares : 0) / (values - 1)", "(squares > 0 ? squares : 0) / values", "a biased running variance"),
    ("update.c", "const real g = gradient[i - t->begin] * factor;\n", "const real g = gradient[i - t->begin] * factor + p[i] * (real)t->recipe.weight_decay;\n", "AdamW's decay is coupled"),
    ("update.c", "g = kind == 2 ? g + m[i] * momentum : m[i];", "g = m[i];", "Nesterov's momentum is plain"),
    ("update.c", "return size < least ? 0 : m;", "return m;", "moments stay subnormal"),
    ("step.c", ".batch = s->count,", ".batch = t->recipe.batch,", "the last batch is divided by the full one"),
    ("step.c", "s.factor = t->recipe.clip > 0 && norm > t->recipe.clip ? t->recipe.clip / norm : 1;", "s.factor = 1;", "no clipping"),
    ("step.c", "state->beta2_power *= t->recipe.beta2;", "state->beta2_power *= t->recipe.beta1;", "AdamW's second correction with the first beta"),
    ("tree.c", "} else if (!left && stack->count > 1 && before->level == last->level && before->index == last->index - 1) {", "} else if (stack->count > 1) {", "the tree is cut by worker"),
    ("trainer.c", "if (p->statistic || n->layer[p->layer].frozen)", "if (p->statistic)", "a frozen layer decays"),
    ("trainer.c", "(uint32_t)(state->step / t->epoch_steps)", "0", "each epoch has the first one's order"),
    ("run.c", "if (n->layer[n->parameter[i].layer].frozen)", "if (0)", "a stale gradient of what is frozen"),
    ("sample.c", "cvg_random(key, (uint32_t)epoch, (uint64_t)index, 0, number);", "cvg_random(key, (uint32_t)epoch, 0, 0, number);", "all samples of an epoch flip and shift alike"),
    ("checkpoint.c", "if (pass == 1)\n                    copy", "if (pass == 1 && array < 0)\n                    copy", "momentum is not loaded"),
    ("checkpoint.c", "    cvt_find_order(t, s);\n", "", "the order after loading is the first epoch's"),
    ("arrays.c", "to[i] = ((const unsigned char *)from)[i];", "to[i] = ((const unsigned char *)from)[i] / (real)255;", "bytes are scaled twice"),
    ("arrays.c", "index * n->input.elements, n->input.elements, input", "index * n->input.elements, n->input.elements - 1, input", "a sample's last element is left out"),
    ("recipe.c", "(double)(step - r->warmup) / (double)(t->steps - r->warmup) / 2));", "(double)(step - r->warmup) / (double)t->steps / 2));", "the cosine does not end at the last step"),
    ("group.c", "cvt_part(blocks, t->group.size, rank) * CVT_SLICE;\n    return", "cvt_part(moved, t->group.size, rank);\n    return", "slices of ranks cut the blocks of the norm"),
    ("group.c", "? (size_t)(slot + node) * t->slot_size", "? (size_t)(slot + nodes.count - 1 - node) * t->slot_size", "the nodes of a rank are joined in another order"),
    ("group.c", "const int64_t end = cvt_part(shards, t->group.size, rank + 1);\n    for", "nodes->leaves = cvt_part(shards, t->group.size, rank + 1);\n    const int64_t end = nodes->leaves;\n    for", "the tree is cut by rank"),
    ("group.c", "own->asked = word->asked > own->asked ? word->asked : own->asked;", "own->asked = word->asked;", "only the last rank's signal counts"),
    ("group.c", "cvt_push(&all, nodes.node[i], join_losses, NULL);", "cvt_push(&all, nodes.node[i], NULL, NULL);", "the loss agreed on is that of the first node"),
    ("step.c", ".seed = t->recipe.seed};", ".seed = t->recipe.seed + (uint64_t)t->group.rank};", "dropout is keyed by the rank"),
    ("step.c", "state->sharded = t->group.size > 1 && t->moments > 0;", "state->sharded = 0;", "other ranks' old moments are saved"),
    ("join.c", "memcpy(back ? own : kept, back ? kept : own, bytes);", "memcpy(kept, own, bytes);", "a step that failed has moved its slice"),
    ("join.c", "if (t->end == t->network->elements)", "if (t->group.rank == t->group.size - 1 && t->group.size != 3)", "three ranks lose batch norm's statistics"),
]
MUTANTS += [("../train/" + name, *rest) for name, *rest in TRAIN_MUTANTS]
TRAIN_TESTS = [["{build}/tests/train_layers"], ["{build}/tests/train_trainer"], ["{build}/tests/train_group"]]

# Faults of the program's training: the file below cli/train/.  One is seen only where there is stb_image.
PROGRAM_MUTANTS = [
    ("train.c", "if (resume && data != s->data_print)", "if (0 && data != s->data_print)", "a resume takes any data"),
    ("train.c", "if (resume && test != s->test_print)", "if (0 && test != s->test_print)", "a resume takes any test data"),
    ("train.c", "s->loss = 0;\n    s->count = s->hits = 0;\n", "", "an epoch's loss is that of all epochs"),
    ("train.c", "if (history_best(&t->history) == t->history.count - 1)", "if (1)", "the last epoch is kept as the best"),
    ("history.c", "e->test_accuracy > b->test_accuracy", "e->test_accuracy >= b->test_accuracy", "the last of equal epochs is the best"),
    ("history.c", "e->test_loss < b->test_loss", "e->test_loss > b->test_loss", "the largest loss is the best"),
    ("history.c", "        history_add(history, &epoch);\n", "        history_add(history, &epoch);\n        history_add(history, &epoch);\n", "each row twice after a resume"),
    ("files.c", "if (fcntl(file, F_SETLK, &all) || fstat", "if (fstat", "the lock is not looked at"),
    ("settings.c", "s->loss = strtod(number[5], NULL);", "", "a resume within an epoch forgets its loss so far"),
    ("dataset.c", "hash = hash_bytes(hash, data->label, count * sizeof *data->label);", ";", "the fingerprint has no labels"),
    ("dataset.c", "hash = hash_bytes(hash, data->values, count * (size_t)data->elements * size_of(data->stored));", "", "the fingerprint has no values"),
    ("dataset_read.c", "(int64_t)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]", "(int64_t)at[3] << 24 | at[2] << 16 | at[1] << 8 | at[0]", "IDX is little-endian"),
    ("dataset_read.c", "if (e->kind == 'i' && e->size < 8", "if (e->size < 8", "unsigned labels are read as signed"),
    ("dataset_read.c", "if (e->kind == 'i' && e->size < 8", "if (0 && e->size < 8", "signed labels are read as unsigned"),
    ("dataset_read.c", "record[labels - 1]", "record[0]", "CIFAR-100's coarse label is taken"),
    ("predict.c", "value_of(m->facts.type, outputs, i) > value_of(m->facts.type, outputs, best)", "value_of(m->facts.type, outputs, i) < value_of(m->facts.type, outputs, best)", "the least probable class comes first"),
    ("report.c", "a->table[a->data->label[i] * classes + best]++;", "a->table[best * classes + a->data->label[i]]++;", "the confusion table is turned"),
    ("protobuf.c", "value >= 128; value >>= 7", "value > 128; value >>= 7", "128 is written as the begin of a longer number"),
    ("onnx.c", "second && i < rank", "0 && i < rank", "ONNX pads at the begin alone"),
    ("onnx.c", "if (has(g, part[i].text) || ", "if ((i == 0 && has(g, part[i].text)) || ", "ONNX has no biases"),
    ("export.c", "return (p->offset > q->offset) - (p->offset < q->offset);", "return 0 * (p->offset > q->offset);", "C has the parameters in the order of their names"),
    ("export.c", "\"%s%a%s,\"", "\"%s%.7e%s,\"", "C has seven digits of each parameter"),
    ("export.c", "facts->shard, m->settings.error_growth);", "(int64_t)1, m->settings.error_growth);", "C chooses algorithms for another shard"),
    ("pack.c", "return strcmp(*(char *const *)a,", "return strcasecmp(*(char *const *)a,", "classes are not in the order of bytes"),
    ("pack.c", "planes[c * pixels + i]", "planes[i * image->channels + c]", "pictures have channels last"),
    ("image.c", "int64_t sum = h * w / 2;", "int64_t sum = 0;", "averages are cut off"),
    ("image.c", "(image->height - h) / 2 * image->width", "(int64_t)0", "the top is taken instead of the middle"),
    ("image.c", "if (there != want)", "if (there < want)", "what follows a picture is ignored"),
    ("image_stb.c", "return bytes[at + 1] == 0xd9;", "return 1;", "a JPEG file that is cut short is taken"),
    ("predict.c", "m->facts.type == CVG_F32 ? 9 : 17;", "9;", "outputs of f64 are printed with the digits of f32"),
]
MUTANTS += [("../cli/train/" + name, *rest) for name, *rest in PROGRAM_MUTANTS]
COMPILER = ["cc", "-I{source}/include", "{build}/libconvgrad-train.a", "{build}/libconvgrad.a", "-fopenmp", "-lm"]
PROGRAM_TESTS = [[sys.executable, "{source}/tests/train_exact.py", "{build}/convgrad"],
                 [sys.executable, "{source}/tests/train_data.py", "{build}/convgrad"],
                 [sys.executable, "{source}/tests/train_export.py", "{build}/convgrad", *COMPILER],
                 ["sh", "{source}/tests/train_cli.sh", "{build}/convgrad"]]

# Faults of Python's training: the file below bindings/python/convgrad/; left out without NumPy and pytest.
PYTHON_MUTANTS = [
    ("_network.py", "(array < 0) | (array >= facts.output_elements)", "array >= facts.output_elements", "a label of -1 is taken"),
    ("_network.py", "len(x) if batch is None else whole(\"batch\", batch)", "len(x)", "the batch is not looked at"),
    ("_network.py", "        if part.exists():\n            part.unlink()\n", "", "half a file is left"),
    ("_network.py", "state[name] = view.copy()", "state[name] = view", "a state_dict changes afterwards"),
    ("_network.py", "            taken[name] = value\n        for name, value in taken.items():\n            own[name][...] = value\n", "            own[name][...] = value\n", "half a state_dict is taken"),
    ("_trainer.py", "finally:  # also if Ctrl-C comes between the step and this line\n                self._tell()", "finally:\n                pass", "a step does not tell the network"),
    ("_trainer.py", "start = None if init else address(network.parameters.flat)", "start = None", "a training always draws its parameters"),
    ("_trainer.py", "training.STORED.index(self._input.dtype.name), target)", "target, target)", "all data are read as bytes"),
    ("_trainer.py", "told = 1, int(epochs), float(factor)", "told = 1, 1, float(factor)", "a schedule's steps are of one epoch"),
    ("_trainer.py", "return bool(failures)", "return 0", "a function that fails is not noticed"),
]
MUTANTS += [("../bindings/python/convgrad/" + name, *rest) for name, *rest in PYTHON_MUTANTS]
PYTHON_TESTS = [[sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", "{source}/bindings/python/tests",
                 "{source}/bindings/python/tests/test_network.py"]]

# From the quickest on.
TESTS = [
    ["{build}/convgrad", "verify", "--random", "60", "--seed", "1"],
    ["{build}/convgrad", "verify", "--layout", "channels_last", "g4mb1ic16ih40oc16kh3ph1", "g3mb2ic3ih5iw70oc3kh3ph1"],
    ["{build}/tests/fuzz_conv", "{source}/tests/fuzz/corpus/conv"],
    ["{build}/tests/test_api"],
    ["{build}/tests/test_structure"],
    ["{build}/tests/test_faults"],
    ["{build}/tests/test_textbook"],
    ["{build}/tests/test_kernels"],
    ["{build}/tests/test_threads"],
    ["{build}/tests/test_golden", "{source}/tests/golden/golden.txt"],
    ["sh", "{source}/tests/cli.sh", "{build}/convgrad"],
    ["{build}/tests/test_halves"],
    ["{build}/convgrad", "verify", "--random", "1000", "--seed", "1000"],
    ["{build}/tests/test_algorithms", "150"],
]


def run(command, seconds, **more):
    """The exit status; "no end" if it takes far too long."""
    try:
        return subprocess.run(command, timeout=seconds, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more).returncode
    except subprocess.TimeoutExpired:
        return "no end"


CORE_TARGETS = ["convgrad_program", "fuzz_conv"]
CORE_TARGETS += [f"test_{name}" for name in ("api", "textbook", "kernels", "threads", "golden", "structure", "algorithms", "faults", "halves")]

# What may catch a fault of the files that begin so, and what is built for it.
KINDS = {
    "../train/": (TRAIN_TESTS, ["train_layers", "train_trainer", "train_group"]),
    "../cli/train/": (PROGRAM_TESTS, ["convgrad_program", "convgrad_static", "convgrad_train_static"]),
    "../bindings/": (PYTHON_TESTS, ["convgrad_program", "convgrad", "convgrad_train"]),
    "": (TESTS, CORE_TARGETS),
}


def kind_of(name):
    """The kind of a fault's file."""
    return next(begin for begin in KINDS if name.startswith(begin))


def build(source, out, jobs, targets):
    configure = ["cmake", "-S", source, "-B", out, "-DCMAKE_C_FLAGS_RELEASE=-O1", "-DCVG_PEERS=OFF"]
    return run(configure, 300) or run(["cmake", "--build", out, "-j", str(jobs), "--target", *targets], 900)


def first_failure(source, out, tests):
    package = {"CONVGRAD_LIBRARY": f"{out}/libconvgrad.so", "CONVGRAD_PROGRAM": f"{out}/convgrad",
               "PYTHONPATH": f"{source}/bindings/python", "PYTHONDONTWRITEBYTECODE": "1"}
    for test in tests:
        command = [word.format(build=out, source=source) for word in test]
        status = run(command, 1200, cwd=out, env={**os.environ, **package})
        if status:
            words = [os.path.basename(command[0])] + [word for word in command[1:4] if not word.startswith("/")]
            return " ".join(words) + (" does not end" if status == "no end" else "")
    return None


def race(source, out, jobs):
    """ThreadSanitizer sees what does not happen every time."""
    configure = ["cmake", "-S", source, "-B", out, "-DCMAKE_C_FLAGS_RELEASE=-O1", "-DCVG_PEERS=OFF", "-DCVG_OPENMP=OFF",
                 "-DCVG_SANITIZE=thread"]
    if run(configure, 300) or run(["cmake", "--build", out, "-j", str(jobs), "--target", "test_threads"], 900):
        sys.exit("the build with ThreadSanitizer failed")
    return "ThreadSanitizer: test_threads" if run([f"{out}/tests/test_threads"], 1200) else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--places", action="store_true", help="only print the faults whose place is not there once")
    arguments = parser.parse_args()
    if not all(importlib.util.find_spec(package) for package in ("numpy", "pytest")) and not arguments.places:
        print("left out: the faults of Python (need NumPy and pytest)")
        MUTANTS[:] = [mutant for mutant in MUTANTS if kind_of(mutant[0]) != "../bindings/"]
    if arguments.places:
        for number, (file, old, _, what) in enumerate(MUTANTS, 1):
            if (ROOT / "src" / file).read_text().count(old) != 1:
                print(f"{number}: {file}: {what}")
        return
    survived = 0
    with tempfile.TemporaryDirectory() as folder:
        source, out = f"{folder}/source", f"{folder}/build"
        shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns("build*", ".git"))
        wanted = [name for number, (name, *_) in enumerate(MUTANTS, 1) if not arguments.numbers or number in arguments.numbers]
        for tests, targets in (KINDS[kind] for kind in KINDS if any(kind_of(name) == kind for name in wanted)):
            wrong = "the compiler" if build(source, out, arguments.jobs, targets) else first_failure(source, out, tests)
            if wrong:
                sys.exit(f"the sources without a fault are caught by {wrong}")
        print("| | file | fault | caught by |\n|---|---|---|---|", flush=True)
        for number, (name, old, new, what) in enumerate(MUTANTS, 1):
            if arguments.numbers and number not in arguments.numbers:
                continue
            path = pathlib.Path(source, "src", name)
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(f"fault {number}: {name} has {text.count(old)} of {old!r}")
            path.write_text(text.replace(old, new))
            tests, targets = KINDS[kind_of(name)]
            caught = "the compiler" if build(source, out, arguments.jobs, targets) else first_failure(source, out, tests) or \
                (race(source, f"{folder}/race", arguments.jobs) if tests is TESTS else None)
            path.write_text(text)
            survived += not caught
            print(f"| {number} | {name.removeprefix('../')} | {what} | {caught or '**nothing**'} |", flush=True)
    print(f"{survived} of {len(arguments.numbers) or len(MUTANTS)} faults survived")
    return survived > 0


if __name__ == "__main__":
    sys.exit(main())
