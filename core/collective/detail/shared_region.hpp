// Memory that several processes of one machine have mapped.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "core/base/descriptor.hpp"
#include "core/base/result.hpp"

namespace gauntlet::collective {

/// One process's view. Who writes what and when is its users' affair.
class SharedRegion {
 public:
  /// `n_bytes` zeros of nobody's file system, which go with the last process that maps them. Errors: kIo.
  [[nodiscard]] static Result<std::unique_ptr<SharedRegion>> create(std::size_t n_bytes);
  /// Maps what another process created with the same size, as its `address()` says. Errors (kUnreachable):
  /// this process does not see that one's memory, since it runs on another machine, in another container or
  /// as another user.
  [[nodiscard]] static Result<std::unique_ptr<SharedRegion>> open(const std::string& address,
                                                                  std::size_t n_bytes);
  ~SharedRegion();
  SharedRegion(const SharedRegion&) = delete;
  SharedRegion& operator=(const SharedRegion&) = delete;

  /// "<process>/<descriptor>/<number drawn by chance>": the number tells this region from another machine's.
  [[nodiscard]] std::string address() const;
  [[nodiscard]] std::byte* memory() const;  ///< aligned to a cache line

 private:
  struct Head;
  explicit SharedRegion(std::size_t n_bytes) : n_bytes_(n_bytes) {}
  [[nodiscard]] Status map();
  [[nodiscard]] std::size_t n_mapped() const;

  std::size_t n_bytes_;
  Descriptor file_;
  std::byte* head_ = nullptr;
};

}  // namespace gauntlet::collective
