#include "core/collective/communicator.hpp"

namespace gauntlet::collective {
namespace {

class SoloReducer final : public GradientReducer {
 public:
  void backward(const torch::Tensor& loss) override { loss.backward(); }
};

class SoloCommunicator final : public Communicator {
 public:
  [[nodiscard]] std::int64_t rank() const override { return 0; }
  [[nodiscard]] std::int64_t world_size() const override { return 1; }
  void all_reduce_sum_(torch::Tensor& /*tensor*/) override {}
  [[nodiscard]] torch::Tensor all_reduce_sum(const torch::Tensor& tensor) override { return tensor; }
  [[nodiscard]] torch::Tensor gather_rows(const torch::Tensor& local) override { return local; }
  void broadcast_(torch::Tensor& /*tensor*/) override {}
  void barrier() override {}
  [[nodiscard]] std::unique_ptr<GradientReducer> make_reducer(
      std::vector<torch::Tensor> /*parameters*/) override {
    return std::make_unique<SoloReducer>();
  }
};

}  // namespace

std::unique_ptr<Communicator> make_solo_communicator() { return std::make_unique<SoloCommunicator>(); }

}  // namespace gauntlet::collective
