#include "worker/launch/mpi_bridge.h"

#include <mpi.h>

extern "C" {

int gauntlet_mpi_join(int* rank, int* size) {
  if (const int error = MPI_Init(nullptr, nullptr); error != MPI_SUCCESS) return error;
  if (const int error = MPI_Comm_rank(MPI_COMM_WORLD, rank); error != MPI_SUCCESS) return error;
  return MPI_Comm_size(MPI_COMM_WORLD, size);
}

int gauntlet_mpi_from_first(char* bytes, int n_bytes) {
  return MPI_Bcast(bytes, n_bytes, MPI_CHAR, 0, MPI_COMM_WORLD);
}

int gauntlet_mpi_leave() { return MPI_Finalize(); }

}  // extern "C"
