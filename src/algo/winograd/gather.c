/*
 * forward and grad_input by Winograd's algorithm (winograd.h).
 *
 * The source of one group of runs for each worker is transformed first; then every job multiplies
 * the tiles of one group by the weight of a block of destination channels m, point by point, and
 * transforms the sums back.  The weight is transformed once for the call; a very large one by each
 * job just before it is used, which is faster than to read 36 or 64 numbers for 9 from far away.
 */
#include "../../text.h"
#include "winograd.h"

#include <inttypes.h>
#include <math.h>

enum {
    BLOCK = 64,             /* destination channels of one job, at most */
    TOGETHER = 32,          /* source channels that are read at a time, channels last */
    SUM_BYTES = 384,        /* source channels between two stores of a sum: 96 in f32, about */
    FEW = 16,               /* source channels whose weights are transformed at a time */
    WEIGHT_BYTES = 1 << 20, /* a smaller transformed weight stays near, so that */
    FEW_TILES = 28,         /* so many tiles at a time are enough, */
    FEW_BYTES = 256 << 10,  /* or, of few channels, so many that rows are read and written far along; */
    NEAR_TILES = 40,        /* if it is read from further away, so many, whose source stays near; */
    MOST_TILES = 96,        /* so many make transforming it again and again pay, */
    PLANES_BYTES = 6 << 20, /* in as many bytes of a group's transformed source */
    LEAST_TILES = 12,
};

#define AGAIN 0.1 /* What each group does again, the weight above all, in parts of the work of its tiles. */

struct cut {
    struct cvg_gather view;
    struct cvg_winograd w;
    int64_t most_tiles;                 /* of one group, for any workers and batch */
    int64_t m_count, m_blocks;          /* of one group of channels, in whole vectors */
    int64_t terms, l_count, l_blocks;   /* source channels, once for each sub-filter */
    int64_t sub_step;                   /* channels of all groups between sub-filters in the planes */
    int64_t weight_plane, weight_block; /* elements of one point, of all */
    int shared;                         /* the weight is transformed once for all jobs */
    int64_t together, reads;            /* source channels read at a time; all, with sub-filters, in so many reads */
    int64_t written;                    /* channels of a block written at a time: */
    int wide;                           /* all, as they are neighbours, but a row of tiles */
    int streams;                        /* a result that no near cache holds */
    struct cvg_winograd_planes source, sums; /* of one group of runs */
    int64_t groups;                          /* of one round, one for each worker */
};

/* What is decided when the plan is made. */
struct state {
    struct cut cut;
    struct cvg_winograd_maps maps[2];
};

/* Whether whole groups are jobs, whose source stays in a worker's own cache: if no more than a quarter would wait. */
static int are_jobs(int64_t groups, int workers)
{
    return cvg_ceil_div(groups, workers) * workers <= groups + groups / 3;
}

/*
 * Cuts a pass into groups of at most about so many tiles, or fewer, where the last of the workers would be done sooner:
 * which group a tile is in changes no sum.
 */
static struct cvg_winograd balanced(const struct cvg_shape *s, int n, cvg_pass pass, int64_t most, int workers)
{
    enum { STEPS = 8 };
    struct cvg_winograd best = cvg_winograd_of(s, n, pass, most);
    double least = HUGE_VAL;
    for (int64_t step = STEPS; step >= STEPS / 2; step--) {
        const struct cvg_winograd w = cvg_winograd_of(s, n, pass, cvg_max(LEAST_TILES, most * step / STEPS));
        const int64_t groups = cvg_ceil_div(w.runs, w.group), rounds = cvg_ceil_div(groups, workers);
        const double turns = are_jobs(groups, workers) ? (double)rounds : (double)groups / workers;
        const double time = turns * ((double)w.group_tiles + AGAIN * (double)most);
        if (time < least)
            best = w;
        least = time < least ? time : least;
    }
    return best;
}

static CVG_ONCE struct cut cut_of(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int n,
                                  int workers)
{
    struct cut cut = {.view = cvg_gather_of(s, pass)};
    const int64_t vector = kernels->vector, line = CVG_ALIGNMENT / (int64_t)kernels->size;
    const struct cvg_winograd one = cvg_winograd_of(s, n, pass, 1);
    cut.terms = cvg_times(one.subs, cut.view.L);
    cut.sub_step = cvg_ceil_div(s->G * cut.view.L, vector) * vector;
    const int64_t weight = cvg_times(one.points * (int64_t)kernels->size, cvg_times(cut.terms, cut.view.M));
    const int64_t tile = cvg_times(one.points * (int64_t)kernels->size, cvg_times(one.subs, s->G * cut.view.L));
    cut.shared = cvg_times(weight, s->G) <= cvg_winograd_shared_bytes(&one);
    const int64_t most = weight <= WEIGHT_BYTES ? cvg_max(FEW_TILES, FEW_BYTES / tile)
                         : cut.shared           ? NEAR_TILES
                                                : MOST_TILES;
    const int64_t tiles = cvg_max(LEAST_TILES, cvg_min(most, PLANES_BYTES / tile));
    cut.most_tiles = cvg_winograd_of(s, n, pass, tiles).group_tiles;
    cut.w = CVG_FAST && workers > 1 ? balanced(s, n, pass, tiles, workers) : cvg_winograd_of(s, n, pass, tiles);
    cut.m_blocks = cvg_ceil_div(cut.view.M, BLOCK);
    cut.m_count = cvg_ceil_div(cvg_ceil_div(cut.view.M, cut.m_blocks), vector) * vector;
    cut.m_blocks = cvg_ceil_div(cut.view.M, cut.m_count);
    cut.l_blocks = cvg_ceil_div(cut.terms, SUM_BYTES / (int64_t)kernels->size);
    cut.l_count = cvg_ceil_div(cut.terms, cut.l_blocks);
    cut.l_blocks = cvg_ceil_div(cut.terms, cut.l_count);
    cut.weight_plane = (cut.l_count * cut.m_count / line | 1) * line + 2 * line;
    cut.weight_block = cut.w.points * cut.weight_plane;
    cut.together = cvg_winograd_together(s, kernels, TOGETHER);
    cut.wide = s->layout == CVG_CHANNELS_LAST;
    cut.streams = CVG_FAST && cvg_is_far(s, pass);
    cut.written = cut.wide ? cut.m_count : vector;
    cut.reads = cut.w.subs * cvg_ceil_div(cut.sub_step, cut.together);
    return cut;
}

/* Pieces of a worker's scratch. */
enum { SOURCE, SUMS, WEIGHT, PACKED, BETWEEN, RUN, A, B, ROW, PLACE };

struct scratch {
    char *source; /* planes of one group of runs; any worker's job may read it */
    char *sums;
    char *weight;           /* one block, where it is not shared */
    char *packed, *between; /* of a few channels' weights */
    char *run;              /* of a run's transforms */
    int64_t *a, *b, *row, *place;
};

static struct scratch scratch_of(const struct cvg_job *job)
{
    return (struct scratch){
        cvg_own_piece(job, SOURCE),  cvg_own_piece(job, SUMS),  cvg_own_piece(job, WEIGHT), cvg_own_piece(job, PACKED),
        cvg_own_piece(job, BETWEEN), cvg_own_piece(job, RUN),   cvg_own_piece(job, A),      cvg_own_piece(job, B),
        cvg_own_piece(job, ROW),     cvg_own_piece(job, PLACE),
    };
}

/* Shares the transformed weight, unless each job transforms its own, and lays out scratch. */
static void lay_out(const struct cvg_shape *s, const struct cvg_kernels *kernels, struct cut *cut,
                    struct cvg_work *work)
{
    const struct cvg_winograd *w = &cut->w;
    const int64_t few = FEW * kernels->vector, blocks = s->G * cut->m_blocks * cut->l_blocks;
    if (cut->shared)
        cvg_work_share(work, cvg_times(blocks, cut->weight_block), kernels->size);
    cut->source = cvg_winograd_planes_of(w, kernels, cut->most_tiles, cvg_times(w->subs, cut->sub_step), work);
    cut->sums = cvg_winograd_planes_of(w, kernels, cut->most_tiles, cut->m_count, work);
    cvg_work_piece(work, cut->shared ? 0 : cut->weight_block, kernels->size);
    cvg_work_piece(work, few * s->filter_size, kernels->size);
    cvg_work_piece(work, few * w->axis[0].n * w->axis[1].r, kernels->size);
    cvg_work_piece(work, cvg_winograd_scratch(w, kernels, cut->together, cut->written), kernels->size);
    cvg_work_piece(work, cut->terms, sizeof(int64_t));
    cvg_work_piece(work, CVG_TILES * cut->l_count, sizeof(int64_t));
    cvg_work_piece(work, cut->most_tiles, sizeof(int64_t));
    cvg_work_piece(work, cut->most_tiles, sizeof(int64_t));
}

/* One job: what it is given, and what it works with. */
struct piece {
    const struct cvg_job *job;
    const struct cvg_task *task;
    const struct state *state;
    struct scratch x;
};

static struct piece piece_of(const struct cvg_job *job)
{
    return (struct piece){job, job->task, cvg_state(job), scratch_of(job)};
}

/* ---- weight ---- */

/* Transforms a block of weights: [point][panel of m][l][m], panels as multiply() walks them. */
static void transform_weight(const struct piece *p, int64_t g, int64_t m_block, int64_t l_block, char *to)
{
    const struct cvg_task *t = p->task;
    const struct cvg_shape *s = t->shape;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cut *cut = &p->state->cut;
    const int64_t vector = kernels->vector, size = (int64_t)kernels->size;
    const int64_t r = s->filter[1], q = s->filter[2];
    const int64_t m_end = cvg_min(cut->view.M, (m_block + 1) * cut->m_count);
    const int64_t l_first = l_block * cut->l_count, l_end = cvg_min(cut->terms, l_first + cut->l_count);
    const int64_t flip = cut->view.gradient ? -1 : 1; /* in grad_input the filter is turned by 180 degrees */
    struct cvg_winograd_map map = {p->state->maps[0].evaluate_weight, p->state->maps[1].evaluate_weight};
    const struct cvg_winograd_steps from = {s->filter_size * vector, flip * q * vector, flip * vector};
    int64_t count;
    for (int64_t l = l_first; l < l_end; l += count) {
        const int64_t channel = l % cut->view.L;
        const struct cvg_winograd_sub sub = cvg_winograd_sub_at(&cut->w, l / cut->view.L);
        const int64_t tap = (sub.first[0] * r + sub.first[1]) * q + sub.first[2];
        const int64_t start = flip < 0 ? s->filter_size - 1 - tap : tap;
        count = cvg_min(cvg_min(FEW, l_end - l), cut->view.L - channel);
        map.rows.in = (int)sub.size[0];
        map.columns.in = (int)sub.size[1];
        int64_t lane = 0; /* of the block */
        for (int64_t m = m_block * cut->m_count; m < m_end;) {
            const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->spread, cut->m_count - lane);
            char *panel = to + (lane * cut->l_count + (l - l_first) * tile->lanes) * size;
            const struct cvg_winograd_steps steps = {tile->lanes, cut->w.axis[1].n * cut->weight_plane,
                                                     cut->weight_plane};
            for (int64_t part = 0; part < tile->lanes; part += vector, m += vector, lane += vector) {
                const int width = (int)cvg_max(0, cvg_min(vector, m_end - m));
                if (!width)
                    continue;
                cvg_pack_weight(t, &cut->view, g, m, width, channel, count, (int)vector, p->x.packed);
                cvg_winograd_transform(kernels, &map, count, &from, p->x.packed + start * vector * size, &steps,
                                       panel + part * size, p->x.between);
            }
        }
    }
}

static void weight_job(const struct cvg_job *job, int64_t index)
{
    const struct piece p = piece_of(job);
    const struct cut *cut = &p.state->cut;
    const int64_t l_block = index % cut->l_blocks, m_block = index / cut->l_blocks % cut->m_blocks;
    transform_weight(&p, index / cut->l_blocks / cut->m_blocks, m_block, l_block,
                     cvg_at(p.task, job->base, index * cut->weight_block));
}

/* ---- source ---- */

/* Transforms a run of a group to its planes: some source channels, for one sub-filter. */
static void transform_source(const struct piece *p, int64_t index, int64_t read, char *planes)
{
    const struct cvg_task *t = p->task;
    const struct cut *cut = &p->state->cut;
    const struct cvg_view source = cvg_view_source(t, cut->view.gradient);
    const int64_t channels = t->shape->G * cut->view.L, each = cut->reads / cut->w.subs;
    const int64_t channel = read % each * cut->together, place = read / each * cut->sub_step + channel;
    const struct cvg_winograd_sub sub = cvg_winograd_sub_at(&cut->w, read / each);
    const struct cvg_winograd_run run = cvg_winograd_run_at(&cut->w, index - index % cut->w.group, index);
    cvg_winograd_to_points(&cut->w, p->state->maps, t->kernels, &run, sub.first, &source, channel,
                           (int)cvg_min(cut->together, channels - channel), &cut->source,
                           cvg_at(t, planes, run.at * cut->source.row + place), p->x.run);
}

/* What a group of runs reads, of all that any reads. */
static struct cvg_winograd_range reads_of(const struct cut *cut, int64_t first, int64_t end)
{
    const struct cvg_winograd_range subs = cvg_winograd_subs_of(&cut->w, first, end);
    const int64_t each = cut->reads / cut->w.subs;
    return (struct cvg_winograd_range){subs.first * each, subs.end * each};
}

/* A run of the round, and some of all source channels: to the planes of its group's worker. */
static void source_job(const struct cvg_job *job, int64_t index)
{
    const struct piece p = piece_of(job);
    const struct cut *cut = &p.state->cut;
    const struct cvg_winograd *w = &cut->w;
    const int64_t place = index / cut->reads, run = job->round * cut->groups * w->group + place;
    if (run >= w->runs) /* the last round may have fewer */
        return;
    const int64_t first = run - run % w->group, read = index % cut->reads;
    const struct cvg_winograd_range reads = reads_of(cut, first, cvg_min(w->runs, first + w->group));
    if (read >= reads.first && read < reads.end)
        transform_source(&p, run, read, cvg_piece_of(job, (int)(place / w->group), SOURCE));
}

/* ---- product ---- */

/*
 * Multiplies the tiles of a group by those of a block of weights that are among its terms, for all points; asks for the
 * weight of the next meanwhile.
 */
static void multiply(const struct piece *p, int64_t l_block, const struct cvg_winograd_range *all, int64_t tiles,
                     const char *source, const char *weight)
{
    const struct cvg_kernels *kernels = p->task->kernels;
    const struct cut *cut = &p->state->cut;
    const struct scratch *x = &p->x;
    const int64_t size = (int64_t)kernels->size;
    const int64_t block = l_block * cut->l_count, first = cvg_max(block, all->first);
    const int64_t count = cvg_min(block + cut->l_count, all->end) - first;
    for (int64_t point = 0; point < cut->w.points; point++)
        for (int64_t lane = 0; lane < cut->m_count;) {
            const struct cvg_tile *tile = cvg_panel_tile(kernels, kernels->spread, cut->m_count - lane);
            const int64_t panels = (cut->m_count - lane) / tile->lanes;
            const int64_t rows = cvg_even_rows(tiles, tile->rows);
            struct cvg_terms terms = {
                .count = count,
                .a = x->a + first,
                .b = x->b + (tile - kernels->tile) * cut->l_count + first - block,
                .tiles = panels,
                .b_tile = cut->l_count * tile->lanes,
                .acc_tile = tile->lanes,
            };
            const char *next = weight + ((point + 1) * cut->weight_plane + lane * cut->l_count) * size;
            const int64_t lines = tile->lanes * size / CVG_ALIGNMENT;
            terms.ahead_step = CVG_ALIGNMENT;
            for (int64_t at = 0, i = 0; at < tiles; at += rows, i++) {
                terms.ahead = CVG_FAST && i < lines ? next + i * count * CVG_ALIGNMENT : NULL;
                cvg_run_tiles(tile, size, (int)cvg_min(rows, tiles - at), &terms,
                              source + point * cut->source.plane * size, x->row + at,
                              weight + (point * cut->weight_plane + lane * cut->l_count) * size,
                              x->sums + (point * cut->sums.plane + lane) * size, x->place + at, first == all->first);
            }
            lane += panels * tile->lanes;
        }
}

/* Transforms so many rows of tiles of a run's sums back, and writes width channels from m on. */
static void write_rows(const struct piece *p, const struct cvg_winograd_run *run, int64_t first, int64_t rows,
                       int64_t g, int64_t m, int width, const char *sums)
{
    const struct cvg_task *t = p->task;
    const struct cvg_kernels *kernels = t->kernels;
    const struct cut *cut = &p->state->cut;
    const struct cvg_winograd *w = &cut->w;
    const int64_t lanes = cut->written, size = (int64_t)kernels->size;
    const int64_t n = w->axis[1].n, mh = w->axis[0].m, mw = w->axis[1].m, across = run->tiles[1];
    const int64_t line = (run->first[0] + first) * mh, column = run->first[1] * mw;
    const int64_t lines = cvg_min(rows * mh, w->dst[0] - line), inside = cvg_min(across * mw, w->dst[1] - column);
    char *out = p->x.run, *between = out + cvg_times(rows * mh * inside + mw, lanes) * size;
    const struct cvg_winograd_map map = {p->state->maps[0].collect_output, p->state->maps[1].collect_output};
    const struct cvg_winograd_steps from = {cut->sums.row, n * cut->sums.plane, cut->sums.plane};
    const struct cvg_winograd_steps to = {mw * lanes, inside * lanes, lanes};
    for (int64_t row = 0; row < rows; row++)
        for (int64_t lane = 0; lane < width; lane += kernels->vector)
            cvg_winograd_transform(kernels, &map, across, &from,
                                   sums + ((first + row) * across * cut->sums.row + lane) * size, &to,
                                   out + (row * mh * inside * lanes + lane) * size, between);

    const struct cvg_view result = cvg_view_result(t, cut->view.gradient);
    struct cvg_finish finish = cvg_finish_of(t, g * cut->view.M + m);
    finish.streams = cut->streams;
    cvg_write_lanes(&result, kernels, run->n, g * cut->view.M + m, width, (const int64_t[3]){run->plane, line, column},
                    (const int64_t[3]){1, lines, inside}, (int)lanes, out, &finish);
}

/* The same of all rows, and all channels of a block from m on. */
static void write_run(const struct piece *p, const struct cvg_winograd_run *run, int64_t g, int64_t m, const char *sums)
{
    const struct cut *cut = &p->state->cut;
    const int64_t end = cvg_min(cut->m_count, cut->view.M - m), rows = cut->wide ? 1 : run->tiles[0];
    for (int64_t first = 0; first < run->tiles[0]; first += rows)
        for (int64_t lane = 0; lane < end; lane += cut->written)
            write_rows(p, run, first, rows, g, m + lane, (int)cvg_min(cut->written, end - lane),
                       sums + lane * (int64_t)p->task->kernels->size);
}

/* Lists where terms, tiles and their sums lie, for products of so many tiles. */
static void list_terms(const struct piece *p, int64_t tiles)
{
    const struct cut *cut = &p->state->cut;
    const struct cvg_kernels *kernels = p->task->kernels;
    for (int64_t l = 0; l < cut->terms; l++)
        p->x.a[l] = l / cut->view.L * cut->sub_step + l % cut->view.L;
    for (int64_t l = 0; l < cut->l_count; l++)
        for (int i = 0; i < kernels->tiles; i++)
            p->x.b[i * cut->l_count + l] = l * kernels->tile[i].lanes;
    for (int64_t i = 0; i < tiles; i++) {
        p->x.row[i] = i * cut->source.row;
        p->x.place[i] = i * cut->sums.row;
    }
}

/* One block of m of all groups of channels, for the runs [first, end) whose source is given. */
static void product(const struct piece *p, int64_t block, int64_t first, int64_t end, const char *source)
{
    const struct cvg_task *t = p->task;
    const struct cut *cut = &p->state->cut;
    const struct cvg_winograd *w = &cut->w;
    const int64_t size = (int64_t)t->kernels->size;
    const int64_t g = block / cut->m_blocks, m = block % cut->m_blocks * cut->m_count;
    const int64_t tiles = cvg_winograd_tiles(w, first, end);

    const struct cvg_winograd_range subs = cvg_winograd_subs_of(w, first, end);
    const struct cvg_winograd_range terms = {subs.first * cut->view.L, subs.end * cut->view.L};

    list_terms(p, tiles);
    for (int64_t l_block = terms.first / cut->l_count; l_block * cut->l_count < terms.end; l_block++) {
        const char *weight = p->x.weight;
        if (cut->shared)
            weight = cvg_at(t, p->job->base, (block * cut->l_blocks + l_block) * cut->weight_block);
        else
            transform_weight(p, g, block % cut->m_blocks, l_block, p->x.weight);
        multiply(p, l_block, &terms, tiles, source + g * cut->view.L * size, weight);
    }
    for (int64_t index = first; index < end; index++) {
        const struct cvg_winograd_run run = cvg_winograd_run_at(w, first, index);
        write_run(p, &run, g, m, p->x.sums + run.at * cut->sums.row * size);
    }
}

/* A group of runs of the round, and a block of m. */
static void product_job(const struct cvg_job *job, int64_t index)
{
    const struct piece p = piece_of(job);
    const struct cut *cut = &p.state->cut;
    const struct cvg_winograd *w = &cut->w;
    const int64_t group = index % cut->groups, first = (job->round * cut->groups + group) * w->group;
    if (first < w->runs)
        product(&p, index / cut->groups, first, cvg_min(w->runs, first + w->group),
                cvg_piece_of(job, (int)group, SOURCE));
}

/* A group of runs, from source to destination. */
static void group_job(const struct cvg_job *job, int64_t index)
{
    const struct piece p = piece_of(job);
    const struct cut *cut = &p.state->cut;
    const int64_t first = index * cut->w.group, end = cvg_min(cut->w.runs, first + cut->w.group);
    const struct cvg_winograd_range reads = reads_of(cut, first, end);
    for (int64_t run = first; run < end; run++)
        for (int64_t i = reads.first; i < reads.end; i++)
            transform_source(&p, run, i, p.x.source);
    for (int64_t block = 0; block < p.task->shape->G * cut->m_blocks; block++)
        product(&p, block, first, end, p.x.source);
}

static CVG_ONCE void describe(const struct cvg_work *work, struct cvg_text *text)
{
    const struct cut *cut = &((const struct state *)cvg_state_of(work))->cut;
    cvg_write(text,
              "tiles of %d x %d from %d x %d, %" PRId64 " at a time; %" PRId64 " channels a job, weight transformed %s",
              cut->w.axis[0].m, cut->w.axis[1].m, cut->w.axis[0].n, cut->w.axis[1].n, cut->w.group_tiles, cut->m_count,
              cut->shared ? "once" : "by each job");
}

void cvg_winograd_gather(const struct cvg_shape *s, const struct cvg_kernels *kernels, cvg_pass pass, int n,
                         int workers, struct cvg_work *work)
{
    struct state *state = cvg_work_state(work, sizeof *state);
    struct cut *cut = &state->cut;
    const struct cvg_winograd *w = &cut->w;
    *cut = cut_of(s, kernels, pass, n, workers);
    lay_out(s, kernels, cut, work);
    for (int i = 0; i < 2; i++)
        cvg_winograd_maps_of(&w->axis[i], kernels, &state->maps[i]);
    const int64_t groups = cvg_ceil_div(w->runs, w->group), blocks = s->G * cut->m_blocks;
    if (cut->shared)
        cvg_work_phase(work, blocks * cut->l_blocks, weight_job);
    work->repeated = work->phases;
    cvg_work_describe(work, describe);
    if (are_jobs(groups, workers)) {
        cvg_work_phase(work, groups, group_job);
        return;
    }
    cut->groups = cvg_min(workers, groups);
    work->rounds = cvg_ceil_div(groups, workers);
    cvg_work_phase(work, cut->groups * w->group * cut->reads, source_job);
    cvg_work_phase(work, cut->groups * blocks, product_job);
}
