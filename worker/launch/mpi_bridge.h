/* What a launched process asks of MPI, behind a library that is loaded only where mpirun has started the
 * process: no program of ours needs MPI to be installed. C, so that the symbols have plain names. */
#pragma once

#ifdef __cplusplus
extern "C" {
#endif

/* MPI_Init; then this process's number and how many there are. 0, or an MPI error code. */
typedef int gauntlet_mpi_join_fn(int* rank, int* size);
/* MPI_Bcast of n_bytes from rank 0. */
typedef int gauntlet_mpi_from_first_fn(char* bytes, int n_bytes);
/* MPI_Finalize. */
typedef int gauntlet_mpi_leave_fn(void);

#ifdef __cplusplus
}
#endif
