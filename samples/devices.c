/* devices: lists the OpenCL devices that clseq can run on, and how to select each. */
#include <clseq/clseq.h>

#include "common/options.h"
#include "common/program.h"

#include <stdio.h>
#include <stdlib.h>

static const char *type_of(cl_device_type type)
{
    return type & CL_DEVICE_TYPE_GPU ? "GPU" : type & CL_DEVICE_TYPE_CPU ? "CPU" : "accelerator";
}

int main(int argc, char **argv)
{
    clseq_device_info devices[64], best;
    size_t count = 0;
    program_begin(argv[0]);
    parse_options(argc, argv, "Lists the OpenCL devices that clseq can run on.", NULL, 0);
    check(clseq_device_list(devices, 64, &count));
    check(clseq_device_find(NULL, &best));
    printf("clseq %s. Select with --device or CLSEQ_DEVICE, by numbers or by parts of the names; * is the "
           "default.\n",
           clseq_version());
    for (size_t i = 0; i < count && i < 64; i++) {
        const clseq_device_info *d = &devices[i];
        printf("%c %d:%d  %s : %s\n       %s, %u compute units, %u floats a vector, %.1f GiB, driver %s\n",
               d->device == best.device ? '*' : ' ', d->platform_index, d->device_index, d->platform_name,
               d->name, type_of(d->type), (unsigned)d->compute_units, (unsigned)d->native_float_width,
               (double)d->global_memory / (1 << 30), d->driver_version);
    }
    return EXIT_SUCCESS;
}
