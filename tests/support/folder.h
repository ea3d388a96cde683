/* Temporary folders for tests that read and write files. */
#ifndef CLSEQ_TESTS_SUPPORT_FOLDER_H
#define CLSEQ_TESTS_SUPPORT_FOLDER_H

#include <stddef.h>

#define FOLDER_PATH 512

/* Makes an empty folder and writes its path to `path`; aborts when it cannot. */
void folder_create(char path[FOLDER_PATH]);

/* Deletes the folder with all that is in it. */
void folder_remove(const char *path);

/* Writes a file below the folder, with the folders that its name needs; aborts when it cannot. */
void folder_write(const char *path, const char *name, const void *data, size_t size);
void folder_write_text(const char *path, const char *name, const char *text);

/* Lets files of this process grow to so many bytes, as if the disk were full then; 0: as large as they like. */
void folder_limit_files(size_t bytes);

/* The number of files directly in the folder whose names end in `suffix`, and the name of the first. */
int folder_count(const char *path, const char *suffix, char first[FOLDER_PATH]);

#endif
