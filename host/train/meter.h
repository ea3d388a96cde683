/* What a meter has added up, for runs that stop and go on. */
#ifndef CLSEQ_TRAIN_METER_H
#define CLSEQ_TRAIN_METER_H

#include <clseq/graph.h>

#define CLSEQ__METER_PARTS 4

/* The accumulator itself; get waits. */
clseq_status clseq__meter_get(const clseq_meter *meter, float parts[CLSEQ__METER_PARTS]);
clseq_status clseq__meter_set(clseq_meter *meter, const float parts[CLSEQ__METER_PARTS]);

/* The sum of the weights, 0 when nothing was added, and the weighted mean. */
double clseq__meter_weight(const float parts[CLSEQ__METER_PARTS]);
double clseq__meter_mean(const float parts[CLSEQ__METER_PARTS]);

#endif
